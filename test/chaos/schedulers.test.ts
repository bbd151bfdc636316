import { test } from 'node:test'
import { holds } from './holds.ts'
import { freezeSchedulers } from './scheduler/scenarios/freeze-schedulers.ts'
import { jumpClocks } from './scheduler/scenarios/jump-clocks.ts'
import { killSchedulers } from './scheduler/scenarios/kill-schedulers.ts'
import { olderRedis, restartRedis } from './scheduler/scenarios/restart-redis.ts'
import { stopSchedulers } from './scheduler/scenarios/stop-schedulers.ts'

test('no instant is lost or fires twice when the leading scheduler is killed', () => holds(killSchedulers))
test('a leader that stood still past its lock fires nothing twice', () => holds(freezeSchedulers))
test('a leader that is asked to stop hands over at once', () => holds(stopSchedulers))
test("clocks of schedulers' machines do not matter", () => holds(jumpClocks))
test('what falls due while Redis is away fires once, when it is back', () => holds(restartRedis))
test('no instant is lost when Redis is put back to an older file', () => holds(olderRedis))
