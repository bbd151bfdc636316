import type { z } from 'zod'
import { ConfigError } from '../errors.ts'
import { closest } from '../job/closest.ts'
import { describeValue } from '../job/describe-value.ts'
import { configSchema } from './config-schema.ts'

type Path = readonly PropertyKey[]

/** One value of a configuration that cannot be used. */
export interface ConfigIssue {
  readonly option: string
  readonly found: string
  readonly expected: string
  readonly message: string
}

/** Turns what zod says into one ConfigError. `variables`: option -> the environment variable that set it. */
export function explainIssues(
  issues: readonly z.core.$ZodIssue[],
  input: unknown,
  variables: ReadonlyMap<string, string>,
): ConfigError {
  const found = issues.flatMap((issue) => explain(issue, input))
  const lines = found.map(({ option, message }) => {
    const variable = variables.get(option)
    return `${option}${variable ? ` (from ${variable})` : ''}: ${message}`
  })
  const [first] = found
  const message =
    lines.length === 1 ? `Configuration: ${lines[0]}` : `Configuration:\n${lines.map((line) => `  ${line}`).join('\n')}`
  return new ConfigError(message, { ...first, issues: found })
}

function explain(issue: z.core.$ZodIssue, input: unknown): ConfigIssue[] {
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => explainUnknown(issue.path, key))
  const option = format(issue.path)
  // A key of a record (the name of a queue) has its own rule; the message of the record would say nothing.
  const message = issue.code === 'invalid_key' ? (issue.issues[0]?.message ?? issue.message) : issue.message
  const shown =
    issue.code === 'invalid_key' ? JSON.stringify(issue.path.at(-1)) : show(option, valueAt(input, issue.path))
  return [{ option, found: shown, expected: message, message: `expected ${message}${shown ? `; found ${shown}` : ''}` }]
}

function explainUnknown(path: Path, key: string): ConfigIssue {
  const known = knownKeys(path)
  const hint = closest(key, known) ?? elsewhere(key)
  const expected = hint ?? `one of ${known.join(', ')}`
  const message = hint
    ? `there is no such option; did you mean ${hint}?`
    : `there is no such option; known are ${known.join(', ')}`
  return { option: format([...path, key]), found: key, expected, message }
}

function format(path: Path): string {
  return path.map(String).join('.') || 'the configuration'
}

function valueAt(input: unknown, path: Path): unknown {
  let value = input
  for (const part of path)
    value = typeof value === 'object' && value !== null ? (value as Record<PropertyKey, unknown>)[part] : undefined
  return value
}

// A URL may hold a password: it is never shown, not even in part.
function show(option: string, value: unknown): string {
  if (/url$/i.test(option) && typeof value === 'string')
    return 'a text that is none (not shown: it may hold a password)'
  return value === undefined ? '' : describeValue(value)
}

type Node = { def?: { innerType?: Node; valueType?: Node; shape?: Record<string, Node> } }

function unwrap(node: Node | undefined): Node | undefined {
  let inner = node
  while (inner?.def?.innerType) inner = inner.def.innerType
  return inner
}

function knownKeys(path: Path): string[] {
  let node = unwrap(configSchema as unknown as Node)
  for (const part of path) node = unwrap(node?.def?.shape?.[String(part)] ?? node?.def?.valueType)
  return Object.keys(node?.def?.shape ?? {})
}

/** The path of an option of about this name in another group: `concurrency` -> `worker.concurrency`. */
function elsewhere(key: string): string | undefined {
  for (const group of knownKeys([])) {
    const found = closest(key, knownKeys([group]))
    if (found !== undefined) return `${group}.${found}`
  }
  return undefined
}
