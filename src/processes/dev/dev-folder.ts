import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ConfigError } from '../../errors.ts'

type Ports = Partial<Record<'redis' | 'postgres', number>>

/** Another `moca dev` has the folder. */
export class FolderTakenError extends ConfigError {
  readonly #folder: string

  constructor(folder: string) {
    super(`Another moca dev runs on the data in ${folder}. End it, or work with the servers it started.`)
    this.#folder = folder
  }

  /** How programs connect to the servers of that one. */
  async variables(): Promise<Variables> {
    try {
      return JSON.parse(await readFile(join(this.#folder, 'servers.json'), 'utf8')) as Variables
    } catch {
      throw this // it has not come so far
    }
  }
}

export type Variables = Partial<Record<'REDIS_URL' | 'DATABASE_URL', string>>

/** The folder in which servers for development keep their data: `.moca` of the project. One process at a time may have it. */
export class DevFolder {
  readonly path: string
  /** Tells this folder from all others, also outside of it. */
  readonly id: string
  readonly #claim: Server

  private constructor(path: string, id: string, claim: Server) {
    this.path = path
    this.id = id
    this.#claim = claim
  }

  /** Rejects with ConfigError when another process has it. */
  static async claim(project: string): Promise<DevFolder> {
    await mkdir(join(project, '.moca'), { recursive: true })
    const path = await realpath(join(project, '.moca'))
    // Nothing of it belongs into a repository, and nobody should have to say so.
    await writeFile(join(path, '.gitignore'), '*\n')
    const id = createHash('sha256').update(path).digest('hex').slice(0, 16)
    const claim = await claimSocket(join(tmpdir(), `moca-dev-${id}.sock`), path)
    await rm(join(path, 'servers.json'), { force: true }) // of an earlier life
    return new DevFolder(path, id, claim)
  }

  /** Removes all data. */
  async empty(): Promise<void> {
    await rm(this.outside('postgres'), { recursive: true, force: true })
    for (const name of ['redis', 'postgres', 'ports.json']) {
      await rm(join(this.path, name), { recursive: true, force: true })
    }
  }

  /** A place for what must not lie in the project. */
  outside(name: string): string {
    return join(tmpdir(), `moca-dev-${this.id}-${name}`)
  }

  /** The port that a server had the last time: a URL that was written down somewhere goes on to be right. */
  async port(server: keyof Ports): Promise<number | undefined> {
    return (await this.#ports())[server]
  }

  async keepPort(server: keyof Ports, port: number): Promise<void> {
    const ports = { ...(await this.#ports()), [server]: port }
    await writeFile(join(this.path, 'ports.json'), `${JSON.stringify(ports)}\n`)
  }

  /** Writes down how programs connect to the servers that run on it. */
  async tellVariables(variables: Variables): Promise<void> {
    await writeFile(join(this.path, 'servers.json'), `${JSON.stringify(variables)}\n`)
  }

  /** Lets others have it. Twice is harmless. */
  async release(): Promise<void> {
    if (!this.#claim.listening) return
    this.#claim.close()
    await once(this.#claim, 'close')
  }

  async #ports(): Promise<Ports> {
    try {
      return JSON.parse(await readFile(join(this.path, 'ports.json'), 'utf8')) as Ports
    } catch {
      return {} // the first time, or nothing that could be of use
    }
  }
}

/**
 * Whoever listens on the socket has the folder: it ends with the process, however that ends. The file may stay behind then; nobody
 * answers on it.
 */
async function claimSocket(socket: string, folder: string): Promise<Server> {
  const claim = createServer((visitor) => visitor.destroy())
  claim.unref()
  for (let attempt = 1; ; attempt++) {
    try {
      claim.listen(socket)
      await once(claim, 'listening')
      return claim
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || attempt > 3) throw error
    }
    if (await answers(socket)) {
      throw new FolderTakenError(folder)
    }
    await rm(socket, { force: true })
  }
}

async function answers(socket: string): Promise<boolean> {
  const visitor = connect(socket)
  try {
    await once(visitor, 'connect')
    return true
  } catch {
    return false
  } finally {
    visitor.destroy()
  }
}
