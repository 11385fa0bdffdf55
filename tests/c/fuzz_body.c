/* fuzz_body.c: bodies of any kind, as libFuzzer thinks of them: a verdict, and nothing read
 * beyond the end. Whether the verdicts are right is for tests/fuzz, which asks msgpack. */
#include "body.h"

#include "base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int verdict = ashm_check_body(data, size); /* libFuzzer's copy has exactly this size */

    if (verdict < ASHM_BODY_GOOD || verdict > ASHM_BODY_BAD) {
        abort();
    }
    return 0;
}
