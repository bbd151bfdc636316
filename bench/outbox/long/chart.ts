/** A line chart as SVG, by hand: three of them on a page do not need a library. Pure. */
export interface Chart {
  readonly title: string
  readonly xTitle: string
  readonly yTitle: string
  readonly lines: readonly Line[]
  /** What happened meanwhile: a shaded stretch of the x axis. */
  readonly spans?: readonly { readonly title: string; readonly from: number; readonly to: number }[]
}

export interface Line {
  readonly title: string
  /** In the order of x. */
  readonly points: readonly (readonly [x: number, y: number])[]
}

const width = 860
const height = 320
const margin = { top: 36, right: 190, bottom: 44, left: 70 }
const colours = ['#1f77b4', '#d62728', '#2ca02c', '#9467bd', '#ff7f0e', '#8c564b', '#17becf', '#7f7f7f']

/** Charts below each other. */
export function drawCharts(charts: readonly Chart[]): string {
  const body = charts.map((chart, index) => `<g transform="translate(0 ${index * height})">${draw(chart)}</g>`)
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height * charts.length}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="white"/>
${body.join('\n')}
</svg>
`
}

function draw({ title, xTitle, yTitle, lines, spans = [] }: Chart): string {
  const points = lines.flatMap((line) => line.points)
  const xs = axis(points.map(([x]) => x))
  const ys = axis(points.map(([, y]) => y))
  const x = (value: number) => round(margin.left + (value / xs.most) * (width - margin.left - margin.right))
  const y = (value: number) => round(height - margin.bottom - (value / ys.most) * (height - margin.top - margin.bottom))
  const [left, right, bottom, top] = [x(0), x(xs.most), y(0), y(ys.most)]
  return [
    `<text x="${left}" y="18" font-size="14" font-weight="bold">${escape(title)}</text>`,
    ...spans.flatMap((span) => [
      `<rect x="${x(span.from)}" y="${top}" width="${round(x(span.to) - x(span.from))}" height="${round(bottom - top)}" fill="#eeeeee"/>`,
      `<text x="${x(span.from) + 4}" y="${top + 12}" fill="#777777">${escape(span.title)}</text>`,
    ]),
    ...ys.ticks.flatMap((tick) => [
      `<line x1="${left}" x2="${right}" y1="${y(tick)}" y2="${y(tick)}" stroke="#dddddd"/>`,
      `<text x="${left - 6}" y="${y(tick) + 4}" text-anchor="end">${label(tick)}</text>`,
    ]),
    ...xs.ticks.map((tick) => `<text x="${x(tick)}" y="${bottom + 16}" text-anchor="middle">${label(tick)}</text>`),
    `<text x="${(left + right) / 2}" y="${bottom + 34}" text-anchor="middle">${escape(xTitle)}</text>`,
    `<text transform="translate(14 ${(top + bottom) / 2}) rotate(-90)" text-anchor="middle">${escape(yTitle)}</text>`,
    ...lines.flatMap((line, index) => {
      const colour = colours[index % colours.length]
      const path = line.points.map(([px, py]) => `${x(px)},${y(py)}`).join(' ')
      return [
        `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="1.5"/>`,
        `<text x="${right + 10}" y="${top + 12 + index * 16}" fill="${colour}">${escape(line.title)}</text>`,
      ]
    }),
  ].join('\n')
}

/** From 0 to a round number that is not below any value, with some four ticks. */
function axis(values: readonly number[]): { most: number; ticks: number[] } {
  const highest = Math.max(0, ...values) || 1
  const power = 10 ** Math.floor(Math.log10(highest / 4))
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((step) => step * 5 >= highest) ?? 10 * power
  const count = Math.ceil(highest / step - 1e-9)
  return { most: step * count, ticks: Array.from({ length: count + 1 }, (_, index) => step * index) }
}

function label(value: number): string {
  if (value >= 1e6) return `${Number((value / 1e6).toPrecision(4))} M`
  if (value >= 1e4) return `${Number((value / 1e3).toPrecision(4))} k`
  return String(Number(value.toPrecision(4)))
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
