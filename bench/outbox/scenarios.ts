import type { Scenario } from './scenario.ts'
import { drain } from './scenarios/drain.ts'

/** In the order of the tables. */
export const scenarios: readonly Scenario[] = [drain]
