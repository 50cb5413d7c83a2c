'use strict';

/** Required before a server: its wall clock is off by TEST_CLOCK_SHIFT_MS, its monotonic clock is not. */
const now = Date.now;
const shiftMs = Number(process.env.TEST_CLOCK_SHIFT_MS ?? 0);
Date.now = () => now() + shiftMs;
