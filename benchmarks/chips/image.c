/* A program of its own for a Cortex-M under QEMU: does the policy act there as it did where it was exported, how many
   instructions does an action take, and how much stack? It says so by semihosting, a number a line. */
#include "policy.h"

#include <stddef.h>
#include <stdint.h>

#define CALLS 8           /* of each observation, between two looks at the clock, which turns over after 671 million */
#define TICK 40u          /* instructions: under -icount shift=0 each takes 1 ns, and the boards' SysTick counts at 25 MHz */
#define PAINT 0xA5A5A5A5u /* on the stack, where nothing has written yet */
#define PAINTED 4096      /* words of it */
#define FULL 0x00FFFFFFu  /* what SysTick counts down from */

extern const float vectors[VECTORS * POLICY_OBSERVATION_SIZE];
extern uint32_t data_begin, data_end, data_load, bss_begin, bss_end, stack_top;
int policy_check(void);
int main(void);
void reset(void);

static volatile uint32_t *const SYSTICK = (volatile uint32_t *)0xE000E010u; /* control, reload, value */
static float action[POLICY_ACTION_SIZE];

static void host(uint32_t operation, const void *argument)
{
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
}

static void say(const char *name, uint32_t number)
{
    char text[12], *at = text + 11;
    *at = 0;
    *--at = '\n';
    do *--at = (char)('0' + number % 10); while ((number /= 10) > 0);
    host(0x04, name); /* SYS_WRITE0 */
    host(0x04, at);
}

static uint32_t ticks_of(const float *observation)
{
    uint32_t begin = SYSTICK[2], call;
    for (call = 0; call < CALLS; call++) policy_act(observation, action);
    return (begin - SYSTICK[2]) & FULL;
}

static uint32_t most_instructions(void)
{
    uint32_t most = 0, number;
    for (number = 0; number < VECTORS; number++) {
        uint32_t ticks = ticks_of(vectors + number * POLICY_OBSERVATION_SIZE);
        if (ticks > most) most = ticks;
    }
    return most * TICK / CALLS;
}

/* In bytes, what act() has written below the frame of its caller. */
static uint32_t stack_of_an_action(void)
{
    uint32_t *frame = __builtin_frame_address(0), *low = frame - PAINTED - 64, *at;
    for (at = low; at < frame - 64; at++) *at = PAINT;
    policy_act(vectors, action);
    for (at = low; *at == PAINT; at++) {}
    return (uint32_t)((frame - at) * (ptrdiff_t)sizeof *at);
}

int main(void)
{
    SYSTICK[1] = FULL;
    SYSTICK[2] = 0;
    SYSTICK[0] = 5; /* on, by the processor's clock */
#ifndef SIZE_ALONE
    say("wrong ", (uint32_t)policy_check());
#endif
    say("instructions ", most_instructions());
    say("stack ", stack_of_an_action());
    host(0x18, (void *)0x20026); /* SYS_EXIT, all is well */
    return 0;
}

void reset(void)
{
    uint32_t *from = &data_load, *to;
    for (to = &data_begin; to < &data_end;) *to++ = *from++;
    for (to = &bss_begin; to < &bss_end;) *to++ = 0;
#ifdef __ARM_FP
    *(volatile uint32_t *)0xE000ED88u |= 0xF00000u; /* the floating point unit, on */
    __asm__ volatile("dsb\n isb");
#endif
    main();
    for (;;) {}
}

__attribute__((section(".vectors"), used)) static const struct {
    uint32_t *stack;
    void (*start)(void);
} VECTOR_TABLE = {&stack_top, reset};
