import { KNOWN_TOPICS } from '../events/topic.ts'
import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-codes.ts'

/** Topics that mean something already, or that somebody subscribed to or listens to. */
export async function listTopics(context: Context): Promise<ExitCode> {
  const { topics, subscriptions } = await context.withMoca(async ({ events }) => ({
    topics: await events.listTopics(),
    subscriptions: await events.subscriptions(),
  }))
  // Beginnings that somebody subscribed to are no topics, and worth knowing.
  const beginnings = subscriptions
    .flatMap((subscription) => subscription.topics)
    .filter((topic) => topic.endsWith('.*'))
  const rows = [...new Set([...topics, ...beginnings])].toSorted().map((topic) => ({
    topic,
    about: KNOWN_TOPICS.get(topic),
    subscriptions: subscriptions.filter(({ topics }) => topics.includes(topic)).map(({ name }) => name),
  }))
  const { output } = context
  output.result({ topics: rows }, () =>
    output.table(
      ['TOPIC', 'SUBSCRIPTIONS', ''],
      rows.map(({ topic, about = '', subscriptions }) => [topic, subscriptions.join(', ') || '-', about]),
      3,
    ),
  )
  return EXIT.fine
}
