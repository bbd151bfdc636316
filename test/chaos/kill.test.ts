import { test } from 'node:test'
import { holds } from './holds.ts'
import { killWorkers } from './scenarios/kill-workers.ts'

test('killed workers lose nothing, and only a poison pill dies of it', () => holds(killWorkers))
