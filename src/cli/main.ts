#!/usr/bin/env node
import { requireNode } from './require-node.ts'

requireNode()
const { enableCompileCache } = await import('node:module')
enableCompileCache() // Before what follows is loaded: a command answers a third sooner.
const { runAndEnd } = await import('./run-and-end.ts')
await runAndEnd(process.argv.slice(2))
