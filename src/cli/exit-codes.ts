/** What a command ends with. */
export const EXIT = {
  fine: 0,
  /** It found a problem, or did nothing: an unknown id, a question that was answered with no. */
  problem: 1,
  wrongUse: 2,
  /** No server within --timeout. */
  unreachable: 3,
  /** Ended by a second signal. */
  interrupted: 130,
} as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]
