// What the demo's schedules are, by name. Shared by those who define them and by the account, which works out their instants by itself.

/** Each fires at the multiples of so many milliseconds since 1970. */
export const INTERVALS_MS: Readonly<Record<string, number>> = { pulse: 3_000, census: 5_000 }

/** Type and queue of their jobs. A queue of its own: it is never empty for long, and all others are to become so. */
export const TICK = 'clock.tick'
export const CLOCK_QUEUE = 'clock'
