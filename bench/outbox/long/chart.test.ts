import assert from 'node:assert/strict'
import { test } from 'node:test'
import { drawCharts } from './chart.ts'

const chart = {
  title: 'sizes & <more>',
  xTitle: 'events',
  yTitle: 'MB',
  lines: [
    {
      title: 'log',
      points: [
        [0, 0],
        [10_000_000, 80],
      ] as const,
    },
  ],
}

/** The points of every line. */
function pointsOf(svg: string): number[][][] {
  return [...svg.matchAll(/<polyline points="([^"]*)"/g)].map(([, text = '']) =>
    text.split(' ').map((point) => point.split(',').map(Number)),
  )
}

test('a line begins at the origin and ends at its highest value, right above', () => {
  const [[from = [], to = []] = []] = pointsOf(drawCharts([chart]))
  assert.deepEqual(from, [70, 276], 'where the axes meet')
  assert.deepEqual(to, [670, 36], '80 is a round number: the top of the axis')
})

test('a value that is not round stays below the top of the axis', () => {
  const lines = [{ title: 'log', points: [[0, 83] as const, [1, 0] as const] }]
  const [[highest = []] = []] = pointsOf(drawCharts([{ ...chart, lines }]))
  assert.ok((highest[1] ?? 0) > 36 && (highest[1] ?? 0) < 100, `${highest[1]}`)
})

test('draws a measurement in which everything was zero', () => {
  const svg = drawCharts([{ ...chart, lines: [{ title: 'parked', points: [[0, 0] as const, [1, 0] as const] }] }])
  assert.ok(!svg.includes('NaN'), svg)
})

test('texts cannot end the drawing', () => {
  assert.ok(drawCharts([chart]).includes('sizes &amp; &lt;more>'))
})
