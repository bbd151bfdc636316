import { Command, InvalidArgumentError, Option } from 'commander'

export const FAULTS = [
  'entry-deleted',
  'order-swapped',
  'redis-rewound',
  'log-row-deleted',
  'events-swapped',
  'index-document-dropped',
  'fire-doubled',
] as const
export type Fault = (typeof FAULTS)[number]

export interface DemoOptions {
  readonly documents: number
  readonly plant?: Fault
  readonly json?: string
  readonly keep: boolean
}

/** Ends the process with a message for options that cannot be used. */
export function parseOptions(argv: readonly string[]): DemoOptions {
  const command = new Command('npm run demo --')
    .description(
      'Imports cities as jobs and documents while workers, relays, a scheduler and Redis are killed, and checks that nothing was lost.',
    )
    .option('--documents <n>', 'cities to import', wholeNumber, 20_000)
    .addOption(
      new Option('--plant <fault>', 'do damage behind the back of Moca; the account must find it').choices(FAULTS),
    )
    .option('--json <file>', 'write the account to a file')
    .option('--keep', 'leave everything running afterwards, to look around', false)
    .parse([...argv])
  return command.opts<DemoOptions>()
}

function wholeNumber(text: string): number {
  const value = Number(text)
  if (Number.isInteger(value) && value >= 50 && value <= 100_000) return value
  throw new InvalidArgumentError('It must be a whole number from 50 to 100000.')
}
