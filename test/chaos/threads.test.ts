import { test } from 'node:test'
import { holds } from './holds.ts'
import { blockEventLoop } from './scenarios/block-event-loop.ts'
import { endKeeper } from './scenarios/end-keeper.ts'

test('a blocked event loop loses no lease', () => holds(blockEventLoop))
test('a dead keeper is replaced before leases end', () => holds(endKeeper))
