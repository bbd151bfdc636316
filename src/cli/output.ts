import { styleText } from 'node:util'
import Table from 'cli-table3'
import { maskUrls } from '../processes/mask-urls.ts'
import type { Explanation } from './cli-error.ts'

type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan'

export interface OutputOptions {
  readonly isJson: boolean
  readonly isQuiet: boolean
  readonly isVerbose: boolean
  readonly hasColor: boolean
}

/** What a command says: its result on standard output, everything else on standard error. With --json the result is JSON, and alone. */
export class Output {
  readonly isJson: boolean
  readonly isVerbose: boolean
  readonly hasColor: boolean
  readonly #isQuiet: boolean

  constructor({ isJson, isQuiet, isVerbose, hasColor }: OutputOptions) {
    this.isJson = isJson
    this.isVerbose = isVerbose
    this.hasColor = hasColor
    this.#isQuiet = isQuiet
  }

  /** The result: as one line of JSON, or as what a person reads. */
  result(json: object, text: () => string): void {
    this.print(this.isJson ? JSON.stringify(json) : text())
  }

  print(text: string): void {
    process.stdout.write(`${text}\n`)
  }

  /** Something worth knowing that is not the result. */
  note(text: string): void {
    if (!this.#isQuiet) process.stderr.write(`${text}\n`)
  }

  /** Something that a person should know, and a program may overhear. */
  warn(text: string): void {
    process.stderr.write(`${this.style('yellow', text)}\n`)
  }

  fail({ error, code, context, cause, fix, exitCode }: Explanation, stack: string | undefined): void {
    if (this.isJson) {
      process.stderr.write(`${maskUrls(JSON.stringify({ error, code, context, cause, fix, exitCode }))}\n`)
      return
    }
    const lines: [string, string | undefined][] = [
      ['Error:', error],
      ['Context:', context],
      ['Cause:', cause],
      ['Fix:', fix],
    ]
    for (const [label, text] of lines) {
      if (text === undefined) continue
      const shown = text.replaceAll('\n', `\n${' '.repeat(9)}`)
      process.stderr.write(`${this.style(label === 'Error:' ? 'red' : 'bold', label.padEnd(9))}${maskUrls(shown)}\n`)
    }
    if (this.isVerbose && stack !== undefined) process.stderr.write(`${maskUrls(stack)}\n`)
  }

  style(style: Style, text: string): string {
    return this.hasColor ? styleText(style, text, { validateStream: false }) : text
  }

  /** A table; the columns after the first `left` ones are numbers. */
  table(head: readonly string[], rows: readonly (readonly string[])[], left = 1): string {
    const table = new Table({
      head: head.map((title) => this.style('bold', title)),
      colAligns: head.map((_, index) => (index < left ? 'left' : 'right')),
      style: { head: [], border: [], 'padding-left': 0, 'padding-right': 2 },
      chars: NO_LINES,
    })
    table.push(...rows.map((row) => [...row]))
    return table.toString().replaceAll(/ +$/gm, '')
  }
}

const NO_LINES = Object.fromEntries(
  [
    'top',
    'top-mid',
    'top-left',
    'top-right',
    'bottom',
    'bottom-mid',
    'bottom-left',
    'bottom-right',
    'left',
    'left-mid',
    'mid',
    'mid-mid',
    'right',
    'right-mid',
    'middle',
  ].map((name) => [name, '']),
)
