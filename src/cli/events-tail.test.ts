import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventsProjects } from '../../test/support/events-project.ts'
import { waitFor } from '../../test/support/wait-for.ts'

const projects = eventsProjects()

const linesOf = (text: string) => text.split('\n').filter((line) => line !== '')
const dataOf = (text: string) =>
  linesOf(text)
    .filter((line) => line.startsWith('{'))
    .map((line) => (JSON.parse(line) as { event: { data: unknown } }).event.data)

test('tail shows what is published, as one line, several, or JSON, and ends with a signal', async (t) => {
  const it = await projects.open(t)
  const [short, full, json] = [
    it.start('tail'),
    it.start('tail', 'shop.*', '--format', 'full'),
    it.start('tail', '--json'),
  ]
  for (const each of [short, full, json]) await each.said(/Listening to/)
  const event = {
    type: 'order.paid',
    site: 'acme',
    doctype: 'Order',
    docname: '42',
    data: { total: 12, text: '\u001b[31m' },
  }
  const { id } = await it.moca.events.emit('shop.orders', event)
  await it.moca.events.emit('mail', { type: 'mail.sent' })
  for (const each of [short, json]) await each.said(/mail\.sent/)
  await full.said(/event_id/)
  for (const each of [short, full, json]) each.kill('SIGTERM')
  const [shortly, fully, jsonly] = await Promise.all([short.ended, full.ended, json.ended])
  assert.deepEqual([shortly.code, fully.code, jsonly.code], [0, 0, 0])
  assert.match(
    shortly.stdout,
    /^\S+Z {2}shop\.orders {2}order\.paid {2}acme:Order:42 {2}\{"total":12,"text":"\\u001b\[31m"\}\n/,
  )
  assert.match(fully.stdout, new RegExp(`shop\\.orders {2}order\\.paid\\n {2}event_id {4}${id}\\n`))
  assert.match(fully.stdout, /\n {2}data {8}\{\n {6}"total": 12,/)
  assert.ok(!fully.stdout.includes('mail.sent') && !fully.stdout.includes('\u001b'))
  const [first, second] = linesOf(jsonly.stdout).map((line) => JSON.parse(line))
  assert.deepEqual([first.topic, first.event.event_id, first.event.data], ['shop.orders', id, event.data])
  assert.deepEqual([second.topic, second.event.event_type], ['mail', 'mail.sent'])
})

test('tail shows only what is asked for', async (t) => {
  const it = await projects.open(t)
  const tail = it.start('tail', '--json', '--event', 'a', '--site', 's', '--doctype', 'D')
  await tail.said(/Listening to all topics/)
  const wanted = { type: 'a', site: 's', doctype: 'D' }
  for (const event of [{ ...wanted, type: 'b' }, { ...wanted, site: 't' }, { ...wanted, doctype: 'E' }, { type: 'a' }])
    await it.moca.events.emit('t', { ...event, data: 'no' })
  await it.moca.events.emit('t', { ...wanted, data: 'yes' })
  await tail.said(/yes/)
  tail.kill('SIGINT')
  assert.deepEqual(dataOf((await tail.ended).stdout), ['yes'])
})

test('tail --since shows what was recorded, and goes on without a gap and without showing one twice', async (t) => {
  const it = await projects.open(t, { hasLog: true })
  const recorded = await it.record({ data: 1 }, { topic: 'mail', data: 'no' }, { data: 2 })
  const tail = it.start('tail', 'shop.orders', '--since', '1h', '--json')
  await tail.said(/Listening to/)
  // A relay that was slow announces what was read from the log, and then what is new.
  for (const text of [recorded[0], recorded[2]]) await it.announce('shop.orders', text ?? '')
  const [fresh = ''] = await it.record({ data: 3 })
  await it.announce('shop.orders', fresh)
  await it.announce('shop.orders', fresh) // sent again: Redis had forgotten it
  await it.moca.events.emit('shop.orders', { type: 'order.paid', data: 4 })
  await tail.said(/"data":4/)
  tail.kill('SIGTERM')
  const { stdout, code } = await tail.ended
  assert.equal(code, 0)
  assert.deepEqual(dataOf(stdout), [1, 2, 3, 4])
})

test('tail goes on after the connection was lost, and says between which instants it heard nothing', async (t) => {
  const it = await projects.open(t)
  const tail = it.start('tail', '--json')
  await tail.said(/Listening to/)
  await it.moca.events.emit('t', { type: 'a', data: 'before' })
  await tail.said(/before/)
  const lostAtMs = Date.now()
  await projects.redis.cli(['CLIENT', 'KILL', 'TYPE', 'pubsub'])
  const [, from = '', to = ''] = await tail.said(/events between (\S+Z) and (\S+Z) may be missing here/)
  assert.ok(Date.parse(from) <= lostAtMs && Date.parse(to) >= lostAtMs, `${from} to ${to}`)
  await it.moca.events.emit('t', { type: 'a', data: 'after' })
  await tail.said(/after/)
  tail.kill('SIGTERM')
  const { stdout, code } = await tail.ended
  assert.equal(code, 0)
  assert.deepEqual(dataOf(stdout), ['before', 'after'])
})

test('tail --since says that it needs PostgreSQL, and what an instant is', async (t) => {
  const it = await projects.open(t)
  const none = await it.run('tail', '--since', '1h')
  assert.equal(none.code, 2)
  assert.match(none.stderr, /Past events need PostgreSQL/)
  const odd = await Promise.all(['yesterday', '5', '2026'].map((since) => it.run('tail', '--since', since)))
  for (const { code, stderr } of odd) {
    assert.equal(code, 2)
    assert.match(stderr, /--since must be an instant like/)
  }
  const others = await Promise.all([it.run('tail', '--format', 'xml'), it.run('tail', 'a b')])
  assert.deepEqual(
    others.map(({ code }) => code),
    [2, 2],
  )
})

test('publish takes an event as an argument or on standard input', async (t) => {
  const it = await projects.open(t)
  const heard: unknown[] = []
  await it.moca.events.listen('*', ({ topic, event }) => void heard.push([topic, event.event_type, event.data]))
  const argument = await it.run('publish', 'shop.orders', '{"type":"order.paid","data":{"total":1}}', '--json')
  assert.equal(argument.code, 0)
  const { id, topic } = JSON.parse(argument.stdout) as { id: string; topic: string }
  assert.match(id, /^[0-9a-f-]{36}$/)
  assert.equal(topic, 'shop.orders')
  const input = it.project.start(['events', 'publish', 'mail'], {}, 'cli/main.ts', '{"type":"mail.sent"}')
  assert.match((await input.ended).stdout, /^Published [0-9a-f-]{36} to mail\.\n$/)
  await waitFor(() => heard.length === 2)
  assert.deepEqual(heard, [
    ['shop.orders', 'order.paid', { total: 1 }],
    ['mail', 'mail.sent', null],
  ])
  const refused: [string[], RegExp][] = [
    [['shop.orders', '{'], /The event is no JSON/],
    [['shop.orders', '{"typ":"x"}'], /An event has no field typ\. Did you mean type\?/],
    [['shop.orders', '[]'], /An event is an object/],
    [['a b', '{"type":"x"}'], /A topic is 1 to 200/],
  ]
  const answers = await Promise.all(refused.map(([args]) => it.run('publish', ...args)))
  for (const [index, { code, stderr }] of answers.entries()) {
    assert.equal(code, 2, stderr)
    assert.match(stderr, refused[index]?.[1] ?? assert.fail())
  }
})
