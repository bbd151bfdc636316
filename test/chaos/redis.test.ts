import { test } from 'node:test'
import { holds } from './holds.ts'
import { forgetAll } from './scenarios/forget-all.ts'
import { restartRedisAlways, restartRedisEverysec, restartRedisOlder } from './scenarios/restart-redis.ts'

test('a restart of Redis with appendfsync always loses nothing and runs nothing twice', () => holds(restartRedisAlways))
test('a Redis that lost its last second is noticed', () => holds(restartRedisEverysec))
test('a Redis that is put back to an older file is noticed', () => holds(restartRedisOlder))
test('workers go on when Redis forgot everything, and say so', () => holds(forgetAll))
