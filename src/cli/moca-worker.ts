#!/usr/bin/env node
import { endWith } from './end.ts'
import { runCommandLine } from './program.ts'

// `moca-worker` = `moca worker start`: one word for a process manager.
endWith(await runCommandLine(['worker', 'start', ...process.argv.slice(2)]))
