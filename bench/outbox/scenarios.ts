import type { Scenario } from './scenario.ts'
import { drain } from './scenarios/drain.ts'
import { idle } from './scenarios/idle.ts'
import { latency } from './scenarios/latency.ts'
import { record } from './scenarios/record.ts'
import { sustained, sustainedWhileKilled } from './scenarios/sustained.ts'

/** In the order of the tables. */
export const scenarios: readonly Scenario[] = [drain, sustained, sustainedWhileKilled, latency, idle, record]
