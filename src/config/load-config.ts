import { statSync } from 'node:fs'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ConfigError } from '../errors.ts'
import type { ConfigInput } from './options.ts'

const NAMES = ['moca.config.ts', 'moca.config.js', 'moca.config.mjs']

export interface LoadedConfig {
  readonly input: ConfigInput
  /** The file it came from; undefined when there is none and defaults apply. */
  readonly file: string | undefined
}

/**
 * Finds and imports the configuration: `path` (as given with --config) or the first moca.config.{ts,js,mjs} in `cwd` or a directory
 * above it. Without any, the defaults. Throws ConfigError for a given file that is missing, does not load or exports none.
 */
export async function loadConfig({
  path,
  cwd = process.cwd(),
}: {
  path?: string | undefined
  cwd?: string
} = {}): Promise<LoadedConfig> {
  if (path !== undefined) {
    const file = isAbsolute(path) ? path : resolve(cwd, path)
    if (!isFile(file))
      throw new ConfigError(`There is no configuration file ${file}.`, { option: '--config', found: path })
    return { input: await importConfig(file), file }
  }
  const file = findUpwards(cwd)
  return { input: file === undefined ? {} : await importConfig(file), file }
}

function findUpwards(start: string): string | undefined {
  for (let folder = resolve(start); ; folder = dirname(folder)) {
    const found = NAMES.map((name) => join(folder, name)).find(isFile)
    if (found !== undefined || dirname(folder) === folder) return found
  }
}

// Not a directory: that is what an empty `--config` would mean.
function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false
}

async function importConfig(file: string): Promise<ConfigInput> {
  let loaded: { default?: unknown }
  try {
    loaded = (await import(pathToFileURL(file).href)) as { default?: unknown }
  } catch (cause) {
    throw new ConfigError(`The configuration ${file} does not load: ${describeCause(cause)}`, {
      option: file,
      cause,
    })
  }
  if (typeof loaded.default === 'object' && loaded.default !== null) return loaded.default
  throw new ConfigError(`${file} must export a configuration: export default defineConfig({ ... })`, { option: file })
}

function describeCause(cause: unknown): string {
  const code = cause instanceof Error ? (cause as NodeJS.ErrnoException).code : undefined
  // What older releases say of TypeScript, without a word of themselves.
  if (code === 'ERR_UNKNOWN_FILE_EXTENSION')
    return `Node.js ${process.version} does not read it; Moca needs ^22.22 or >=24.6`
  return cause instanceof Error ? cause.message : String(cause)
}
