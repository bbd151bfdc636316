#!/usr/bin/env node
import { runAndEnd } from './run-and-end.ts'

await runAndEnd(process.argv.slice(2))
