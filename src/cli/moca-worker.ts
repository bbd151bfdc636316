#!/usr/bin/env node
import { runAndEnd } from './run-and-end.ts'

// `moca-worker` = `moca worker start`: one word for a process manager.
await runAndEnd(['worker', 'start', ...process.argv.slice(2)])
