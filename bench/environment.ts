import { readFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'

/** The machine and the runtime, as far as they matter to numbers. */
export interface Environment {
  readonly measuredAt: string
  readonly cpu: string
  readonly cores: number
  readonly memoryGiB: number
  readonly platform: string
  readonly node: string
}

export function describeEnvironment(): Environment {
  const processors = cpus()
  return {
    measuredAt: new Date().toISOString(),
    cpu: processors[0]?.model ?? 'unknown',
    cores: processors.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    platform: `${process.platform} ${process.arch}`,
    node: process.version,
  }
}

/** The version that is installed, which a range in package.json does not tell. */
export function installedVersion(packageName: string): string {
  const own = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    name: string
    version: string
  }
  if (own.name === packageName) return own.version
  const file = new URL(`../node_modules/${packageName}/package.json`, import.meta.url)
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}
