import { chmod, chown, lstat, mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export type KeptFolderOptions = {
  /** Below the temporary directory. Says what is in it, version included: it is made once and never looked into again. */
  name: string
  /** Fills the folder. */
  make: (folder: string) => Promise<void>
  /** Whose it is. Default: this user's. */
  user: { readonly uid: number; readonly gid: number } | undefined
  /** Default 0o755. */
  mode?: number
}

/**
 * A folder that is expensive to make, kept for all processes and runs. Processes that start at once each make their own, and the first to
 * finish gives it the common name.
 */
export async function keepFolder({ name, make, user, mode = 0o755 }: KeptFolderOptions): Promise<string> {
  const kept = join(tmpdir(), name)
  const uid = user?.uid ?? process.getuid?.() ?? 0
  if (await isOf(kept, uid)) return kept
  const own = await mkdtemp(`${kept}-`)
  try {
    if (user) await chown(own, user.uid, user.gid)
    await make(own)
    await chmod(own, mode)
    await rename(own, kept)
  } catch (error) {
    await rm(own, { recursive: true, force: true })
    if (!(await isOf(kept, uid))) throw error // else another process was faster
  }
  return kept
}

/** Anybody may write to the temporary directory: programs and data of somebody else are not used. */
async function isOf(folder: string, uid: number): Promise<boolean> {
  const found = await lstat(folder).catch(() => undefined)
  if (!found) return false
  if (found.isDirectory() && found.uid === uid && (found.mode & 0o022) === 0) return true
  throw new Error(`${folder} is not a directory that only user ${uid} may write to. Remove it.`)
}
