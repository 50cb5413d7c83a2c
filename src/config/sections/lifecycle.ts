import { key } from '../config-key.ts';
import { duration, integer } from '../value-types.ts';

export const lifecycleSection = {
  day: key({
    type: duration({ min: '1 s', max: '1 d' }),
    default: '1 d',
    env: 'HOLDFAST_LIFECYCLE_DAY',
    what: 'How long the days of lifecycle rules are; anything but `1 d` is a TEST CLOCK by which objects expire early.',
    why: 'Rules that speak of weeks can be tried in minutes. Dates, and the date that `x-amz-expiration` tells, stay those of the calendar.',
  }),
  rate: key({
    type: integer({ min: 1, max: 100_000 }),
    default: 500,
    env: 'HOLDFAST_LIFECYCLE_RATE',
    what: 'Most versions and uploads that lifecycle rules end in a second.',
    why: 'Forty million a day; while requests are answered it gives way by itself.',
  }),
} as const;
