import { test } from 'node:test'
import { holds } from './holds.ts'
import { cutNetwork } from './scenarios/cut-network.ts'
import { killConnections } from './scenarios/kill-connections.ts'

test('killed connections are replaced, and nothing runs twice', () => holds(killConnections))
test('a cut network runs nothing twice', () => holds(cutNetwork))
