#!/usr/bin/env node
import { requireNode } from './require-node.ts'

requireNode()
// `moca-scheduler` = `moca scheduler start`: one word for a process manager.
const { runAndEnd } = await import('./run-and-end.ts')
await runAndEnd(['scheduler', 'start', ...process.argv.slice(2)])
