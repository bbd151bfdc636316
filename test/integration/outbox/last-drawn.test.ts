import assert from 'node:assert/strict'
import { test } from 'node:test'
import { outboxScenes } from '../../support/outbox-scene.ts'

const openScene = outboxScenes()

// PostgreSQL writes a value that is 32 ahead into the page of a sequence while it logs one, and readers of tables do not lock that page.
// An anchor that was read so began a window behind rows that were still to come: 27 of ten million were never relayed.
test('what was drawn last is never told ahead of what is drawn next, however fast others draw', async (t) => {
  const scene = await openScene(t)
  const other = await scene.connect()
  t.after(() => other.destroy())
  const drawing = new AbortController()
  const draw = async () => {
    while (!drawing.signal.aborted)
      await other.query(`select count(nextval('moca.outbox_seq')) from generate_series(1, 20000)`)
  }
  const done = draw()
  try {
    const [row] = await scene.database.query<{ ahead: number; looks: number }>(`
      with looks as materialized (
        select moca.last_drawn() as drawn, nextval('moca.outbox_seq') as next from generate_series(1, 60000))
      select count(*) filter (where drawn >= next)::integer as ahead, count(*)::integer as looks from looks`)
    assert.deepEqual(row, { ahead: 0, looks: 60_000 })
  } finally {
    drawing.abort()
    await done
  }
})
