#!/usr/bin/env node
import { endWith } from './end.ts'
import { runCommandLine } from './program.ts'

endWith(await runCommandLine(process.argv.slice(2)))
