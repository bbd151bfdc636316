import { PrismaPg } from '@prisma/adapter-pg'
import { getPrismaClient } from '@prisma/client/runtime/client'

// What `prisma generate` writes for a schema without models, shortened: transactions and raw queries on Prisma's own engine. The README
// says why it is not generated here.
const Client = getPrismaClient({
  previewFeatures: [],
  clientVersion: '7.10.0',
  engineVersion: 'd1b3f377ca835d73fd50954a5e22128b9ebdd6b8',
  activeProvider: 'postgresql',
  inlineSchema: 'datasource db {\n  provider = "postgresql"\n}\n',
  runtimeDataModel: { models: {}, enums: {}, types: {} },
  parameterizationSchema: { strings: [], graph: 'AAAA' },
  compilerWasm: {
    getRuntime: () => load('query_compiler_small_bg.postgresql.mjs'),
    getQueryCompilerWasmModule: async () => {
      const { wasm } = await load('query_compiler_small_bg.postgresql.wasm-base64.mjs')
      return new WebAssembly.Module(Buffer.from(wasm, 'base64'))
    },
    importName: './query_compiler_small_bg.js',
  },
})

// Neither these files nor this global have types here.
const load = (file: string) => import(`@prisma/client/runtime/${file}`)
const { WebAssembly } = globalThis as unknown as { WebAssembly: { Module: new (bytes: Uint8Array) => object } }

export function connect(url: string) {
  return new Client({ adapter: new PrismaPg({ connectionString: url }) })
}

/** What `$transaction` hands out. */
export interface Transaction {
  $executeRaw(query: TemplateStringsArray, ...values: unknown[]): Promise<number>
  $queryRawUnsafe(query: string, ...values: unknown[]): Promise<unknown>
}
