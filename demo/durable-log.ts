import { type FileHandle, open, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * A file of JSON lines; `append` resolves once its line is on the disk. Lines that come while the disk is busy share the
 * next fsync (group commit): one fsync per line would be the slowest part of the demo, and no line would be safer.
 */
export class DurableLog<Line> {
  readonly #file: FileHandle
  #pending: { text: string; resolve: () => void; reject: (error: unknown) => void }[] = []
  #flushing: Promise<void> | undefined

  private constructor(file: FileHandle) {
    this.#file = file
  }

  static async open<Line>(path: string): Promise<DurableLog<Line>> {
    return new DurableLog<Line>(await open(path, 'a'))
  }

  append(line: Line): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#pending.push({ text: `${JSON.stringify(line)}\n`, resolve, reject })
      this.#flushing ??= this.#flush()
    })
  }

  /** Waits for what was appended, then closes the file. */
  async close(): Promise<void> {
    await this.#flushing
    await this.#file.close()
  }

  async #flush(): Promise<void> {
    await Promise.resolve() // lines of the same tick go together
    while (this.#pending.length > 0) {
      const group = this.#pending
      this.#pending = []
      try {
        await this.#file.appendFile(group.map(({ text }) => text).join(''))
        await this.#file.datasync()
        for (const { resolve } of group) resolve()
      } catch (error) {
        for (const { reject } of group) reject(error)
      }
    }
    this.#flushing = undefined
  }
}

/** The lines of all files in a directory, in no order. A process that was killed may have left half a last line: not written. */
export async function readLines<Line>(dir: string): Promise<Line[]> {
  const lines: Line[] = []
  for (const name of (await readdir(dir)).filter((name) => name.endsWith('.jsonl'))) {
    const whole = (await readFile(join(dir, name), 'utf8')).split('\n').slice(0, -1)
    for (const text of whole) lines.push(JSON.parse(text) as Line)
  }
  return lines
}
