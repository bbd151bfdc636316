#!/usr/bin/env node
import { runAndEnd } from './run-and-end.ts'

// `moca-outbox` = `moca outbox start`: one word for a process manager.
await runAndEnd(['outbox', 'start', ...process.argv.slice(2)])
