# What libFuzzer drives, instead of the tests: the preset has every object instrumented for it.
function(ashm_fuzz name runs)
  add_executable(fuzz_${name} fuzz_${name}.c)
  target_link_libraries(fuzz_${name} PRIVATE test_support)
  target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  # In short: the seeds, and as many of their descendants as take a few seconds. What libFuzzer
  # thinks worth keeping it writes to the first directory.
  set(new ${CMAKE_CURRENT_BINARY_DIR}/new-${name})
  add_test(NAME fuzz_${name}
           COMMAND sh -c "rm -rf ${new} && mkdir ${new} && exec $<TARGET_FILE:fuzz_${name}> \
                          -seed=1 -runs=${runs} -max_len=400 -timeout=60 -entropic=0 \
                          -verbosity=0 ${new} ${CMAKE_CURRENT_SOURCE_DIR}/seeds/${name}")
  set_tests_properties(fuzz_${name} PROPERTIES TIMEOUT 300)
endfunction()

# Time is the harness's: fuzz_segment.c.
target_compile_definitions(ashm PRIVATE clock_gettime=fuzz_clock_gettime
                                        nanosleep=fuzz_nanosleep
                                        sched_yield=fuzz_sched_yield
                                        sem_clockwait=fuzz_sem_clockwait)
ashm_fuzz(body 200000)
ashm_fuzz(segment 500)
