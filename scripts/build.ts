import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, globSync, readFileSync, rmSync } from 'node:fs'

// src -> dist: TypeScript is compiled, what is Lua or SQL is copied beside the modules that read it.

rmSync('dist', { recursive: true, force: true }) // what was deleted in src must not live on in the package
const { status } = spawnSync('tsc', ['-p', 'tsconfig.build.json'], { stdio: 'inherit' })
if (status !== 0) process.exit(1)
for (const script of globSync('src/**/*.{lua,sql}')) cpSync(script, script.replace(/^src/, 'dist'))

const { bin } = JSON.parse(readFileSync('package.json', 'utf8')) as { bin: Record<string, string> }
for (const program of globSync(Object.values(bin))) chmodSync(program, 0o755)
