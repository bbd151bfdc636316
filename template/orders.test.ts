import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createTables, pool } from './database.ts'
import { moca, placeOrder } from './orders.ts'

before(createTables)
after(async () => {
  await moca.close()
  await pool.end()
})

async function find(id: string) {
  const { rows } = await pool.query('select receipt_sent, is_reserved from shop_order where id = $1', [id])
  return rows[0]
}

test('an order that commits is reserved, and its receipt is sent', async () => {
  const id = randomUUID()
  await placeOrder(id, 100)
  const deadline = Date.now() + 60_000
  let order = await find(id)
  while (!(order?.receipt_sent && order.is_reserved) && Date.now() < deadline) {
    await sleep(50)
    order = await find(id)
  }
  assert.deepEqual(order, { receipt_sent: true, is_reserved: true })
})

test('of an order that fails nothing is left', async () => {
  const id = randomUUID()
  await assert.rejects(placeOrder(id, -5), /negative/)
  assert.equal(await find(id), undefined)
  const { rows } = await pool.query('select from moca.outbox where key = $1', [`order:${id}`])
  assert.equal(rows.length, 0)
})
