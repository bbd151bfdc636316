import { once } from 'node:events'
import { createInterface } from 'node:readline/promises'
import { UsageError } from './cli-error.ts'

/**
 * Whether what cannot be undone shall be done: --force says so, or a person on the terminal. Without either it is refused: a script
 * must not hang on a question, nor delete because nobody answered.
 */
export async function confirm(question: string, isForced: boolean): Promise<boolean> {
  if (isForced) return true
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw new UsageError(
      'This cannot be undone, and there is no terminal to ask.',
      'Add --force to do it, or --dry-run to see what it would do.',
    )
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    // Ctrl-C and Ctrl-D are a no: the question is then never answered, and the terminal closes.
    const closed = once(terminal, 'close').then(() => '')
    const answer = await Promise.race([terminal.question(`${question} [y/N] `).catch(() => ''), closed])
    return /^y(es)?$/i.test(answer.trim())
  } finally {
    terminal.close()
  }
}
