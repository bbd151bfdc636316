import assert from 'node:assert/strict'
import { test } from 'node:test'
import { doctypeTopic, isTopicPattern, KNOWN_TOPICS, requireTopic, TopicSet } from './topic.ts'

test('a topic is known by its name or by its beginning', () => {
  const topics = new TopicSet(['shop.orders', 'mail.*'])
  const seen = ['shop.orders', 'shop.orders.old', 'shop', 'mail.sent', 'mail.a.b', 'mail', 'mail.', 'mailx.y']
  assert.deepEqual(
    seen.filter((topic) => topics.has(topic)),
    ['shop.orders', 'mail.sent', 'mail.a.b'],
  )
  assert.ok(new TopicSet(['*']).has('anything'))
})

test('patterns are names and beginnings, and nothing else', () => {
  const fitting = ['a', 'a.b', 'a.*', '0-_.x', 'a..*']
  const others = ['', '*', '.*', 'a*', 'a.*.b', '*.a', 'a b.*', 'a.*\n', `${'a'.repeat(199)}.*`, 5, undefined]
  for (const pattern of fitting) assert.ok(isTopicPattern(pattern), pattern)
  for (const pattern of others) assert.ok(!isTopicPattern(pattern), String(pattern))
})

test('the topics of Moca are topics', () => {
  for (const topic of KNOWN_TOPICS.keys()) assert.equal(requireTopic(topic), topic)
})

const topicOf = (site: string | undefined, doctype: string | undefined, topic = 'moca.doc.events') =>
  doctypeTopic({ topic, site, doctype })

test('a change of a document is known by its site and doctype, too', () => {
  assert.equal(topicOf('acme', 'City'), 'moca.cdc.acme.City')
  assert.equal(topicOf(undefined, 'City'), 'moca.cdc._.City')
  assert.equal(topicOf('', ''), 'moca.cdc._._')
  assert.equal(topicOf('acme', undefined), undefined)
  assert.equal(topicOf('acme', 'City', 'shop.orders'), undefined)
})

test('the topic of a doctype has four parts whatever site and doctype are called', () => {
  const names = ['shop.example.com', 'Sales Order', 'ä'.repeat(300), '🦀', '*', `x${'y'.repeat(299)}`]
  for (const site of names) {
    for (const doctype of names) {
      const topic = topicOf(site, doctype) as string
      assert.equal(requireTopic(topic), topic)
      assert.equal(topic.split('.').length, 4)
    }
  }
  // Long names that begin alike stay apart.
  assert.notEqual(topicOf(`${'x'.repeat(200)}a`, 'City'), topicOf(`${'x'.repeat(200)}b`, 'City'))
})
