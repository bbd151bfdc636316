import { join } from 'node:path'
import { findDistributionBin } from '../test/support/postgres-binaries.ts'
import { findPgBouncer } from '../test/support/pgbouncer.ts'
import { APT_GET, type Recipe, run } from './installation.ts'

// The servers that tests, demo and benchmarks start: what each is called where, and how old it may be.

export const REDIS: Recipe = {
  name: 'redis-server',
  // The oldest that has what the scripts use: XAUTOCLAIM that forgets deleted entries, and functions.
  minimum: '7.0',
  findVersion: () => parseRedisVersion(run(['redis-server', '--version']).output),
  // Debian's package `redis-server` and not `redis-tools`, which lacks the command, and with it the service that Debian
  // starts on port 6379 of the loopback address where there is systemd. Keeping it from starting would take a policy for
  // all packages (policy-rc.d) or a masked unit, and both would outlive us; the line that is printed tells how to end it.
  apt: `${APT_GET} update && ${APT_GET} install -y --no-install-recommends redis-server`,
  brew: 'redis',
  byHand: [
    ['apt-get', 'apt-get update && apt-get install -y redis-server'],
    ['brew', 'brew install redis'],
    ['dnf', 'dnf install -y redis'],
    ['pacman', 'pacman -S --noconfirm redis'],
    ['apk', 'apk add redis'],
  ],
  note: () =>
    run(['systemctl', 'is-active', 'redis-server']).isOk
      ? 'The package also started a service on port 6379, which Moca does not use: `systemctl disable --now redis-server` ends it.'
      : '',
}

const CREATE_CLUSTER = '/etc/postgresql-common/createcluster.conf'

export const POSTGRES: Recipe = {
  name: 'PostgreSQL',
  minimum: '14',
  findVersion: () => {
    const bin = findDistributionBin()
    return bin === undefined ? undefined : parsePostgresVersion(run([join(bin, 'postgres'), '--version']).output)
  },
  // Debian's package makes a cluster and starts it on port 5432, unless this file says otherwise. It belongs to a package of its own,
  // which comes first, and is put back afterwards: whoever wants a cluster of the machine gets one the next time.
  apt: [
    `set -e; ${APT_GET} update; ${APT_GET} install -y --no-install-recommends postgresql-common`,
    `conf=${CREATE_CLUSTER}; [ -e $conf.before-moca ] || cp -p $conf $conf.before-moca; trap 'mv -f $conf.before-moca $conf' EXIT`,
    `echo 'create_main_cluster = false' >>$conf`,
    `${APT_GET} install -y --no-install-recommends postgresql`,
  ].join('; '),
  brew: 'postgresql@18',
  byHand: [
    ['apt-get', 'apt-get update && apt-get install -y postgresql'],
    ['brew', 'brew install postgresql@18'],
    ['dnf', 'dnf install -y postgresql-server'],
    ['pacman', 'pacman -S --noconfirm postgresql'],
    ['apk', 'apk add postgresql'],
  ],
}

export const PGBOUNCER: Recipe = {
  name: 'pgbouncer',
  minimum: '1.18',
  findVersion: findPgBouncer,
  // Debian's package starts a service on port 6432, unless a policy says otherwise: for as long as the installation takes.
  apt: [
    `set -e; ${APT_GET} update; policy=/usr/sbin/policy-rc.d`,
    `if [ ! -e $policy ]; then trap 'rm -f $policy' EXIT; printf '#!/bin/sh\\nexit 101\\n' >$policy; chmod +x $policy; fi`,
    `${APT_GET} install -y --no-install-recommends pgbouncer`,
  ].join('; '),
  brew: 'pgbouncer',
  byHand: [
    ['apt-get', 'apt-get update && apt-get install -y pgbouncer'],
    ['brew', 'brew install pgbouncer'],
    ['dnf', 'dnf install -y pgbouncer'],
    ['pacman', 'pacman -S --noconfirm pgbouncer'],
    ['apk', 'apk add pgbouncer'],
  ],
}

/** `Redis server v=7.0.15 sha=...` -> '7.0.15'. */
export function parseRedisVersion(output: string): string | undefined {
  return /\bv=(\d+\.\d+\.\d+)/.exec(output)?.[1]
}

/** `postgres (PostgreSQL) 15.19 (Debian 15.19-0+deb12u1)` -> '15.19'. */
export function parsePostgresVersion(output: string): string | undefined {
  return /\(PostgreSQL\) (\d+(?:\.\d+)*)/.exec(output)?.[1]
}
