#!/usr/bin/env node
import { runAndEnd } from './run-and-end.ts'

// `moca-scheduler` = `moca scheduler start`: one word for a process manager.
await runAndEnd(['scheduler', 'start', ...process.argv.slice(2)])
