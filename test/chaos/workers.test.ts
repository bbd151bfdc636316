import { test } from 'node:test'
import { holds } from './holds.ts'
import { freezeWorkers } from './scenarios/freeze-workers.ts'
import { stopCommand } from './scenarios/stop-command.ts'
import { stopWorkers } from './scenarios/stop-workers.ts'

test('a worker that stood still runs nothing twice when it wakes', () => holds(freezeWorkers))
test('a stopping worker hands everything back at once and uncharged', () => holds(stopWorkers))
test('the command of a worker stops on a signal, and at once on a second', () => holds(stopCommand))
