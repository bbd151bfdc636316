import { Socket } from 'node:net'
import { Client } from 'pg'

/** A connection of a writer, which it may break as a network does: without a word to the server. */
export class WriterConnection {
  readonly #client: Client
  readonly #socket: Socket

  private constructor(client: Client, socket: Socket) {
    this.#client = client
    this.#socket = socket
  }

  static async open(url: string): Promise<WriterConnection> {
    const socket = new Socket()
    const client = new Client({ connectionString: url, application_name: 'demo writer', stream: () => socket })
    client.on('error', () => {}) // told by the statements
    await client.connect()
    return new WriterConnection(client, socket)
  }

  async query<Row extends object>(text: string, values: unknown[] = []): Promise<Row[]> {
    return (await this.#client.query<Row>(text, values)).rows
  }

  /** Sends a statement, and breaks the connection before its answer can come. */
  sendAndBreak(text: string): void {
    void this.#client.query(text).catch(() => {}) // nobody hears of it
    this.break()
  }

  break(): void {
    this.#socket.destroy()
  }

  async end(): Promise<void> {
    await this.#client.end().catch(() => {})
  }
}
