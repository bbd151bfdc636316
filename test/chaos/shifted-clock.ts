// Loaded before a process's own code (`node --import`): its wall clock is off by so many ms, and jumps to the next of them at each SIGUSR2.
// Monotonic clocks go on as they are.

const offsetsMs = (process.env.CHAOS_CLOCK_OFFSETS_MS ?? '').split(',').map(Number)
if (!offsetsMs.every(Number.isFinite)) throw new Error('CHAOS_CLOCK_OFFSETS_MS must be numbers, divided by commas')
let turn = 0
process.on('SIGUSR2', () => turn++)

const RealDate = Date
const shiftedMs = () => RealDate.now() + (offsetsMs[turn % offsetsMs.length] as number)

class ShiftedDate extends RealDate {
  constructor(...values: [] | [string | number | Date]) {
    super(...((values.length === 0 ? [shiftedMs()] : values) as [number]))
  }

  static override now(): number {
    return shiftedMs()
  }
}

globalThis.Date = ShiftedDate as DateConstructor
