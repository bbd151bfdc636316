import { pino, stdTimeFunctions } from 'pino'
import { prettyFactory } from 'pino-pretty'
import type { Logger } from '../logger.ts'
import { maskUrls } from './mask-urls.ts'

export interface LogOptions {
  readonly level: 'debug' | 'info' | 'warn'
  /** For people, on a terminal; else one JSON object a line. */
  readonly isPretty: boolean
  readonly hasColor: boolean
}

/** Names of fields that handlers might log by mistake. */
const SECRET_NAMES = ['password', 'passwd', 'secret', 'token', 'apiKey', 'authorization', 'cookie']

/** The logger of a process, on standard output. Secrets by their names, and passwords in URLs wherever they stand, are masked. */
export function makeLogger({ level, isPretty, hasColor }: LogOptions): Logger {
  const paths = SECRET_NAMES.flatMap((name) => [name, `*.${name}`, `*.*.${name}`])
  const options = {
    level,
    redact: { paths, censor: '***' },
    base: { pid: process.pid },
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  }
  const format = isPretty
    ? prettyFactory({ colorize: hasColor, ignore: 'pid', translateTime: 'SYS:HH:MM:ss.l' })
    : String
  // Written at once, not by a thread: what a process says just before it is killed is what one wants to read.
  return pino(options, { write: (line: string) => void process.stdout.write(maskUrls(format(line))) })
}
