import { test } from 'node:test'
import { holds } from './holds.ts'
import { killWorkers } from './scenarios/kill-workers.ts'
import { mixedLeases } from './scenarios/mixed-leases.ts'

test('killed workers lose nothing, and only a poison pill dies of it', () => holds(killWorkers))
test('a worker keeps its jobs for its own lease, among others with a shorter one', () => holds(mixedLeases))
