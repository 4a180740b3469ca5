// SPDX-License-Identifier: PostgreSQL
// lab.js: a World (harness.js) that can be hurt: its server has a wall clock of our own, small limits, restarts.
//
// chat.user_fanout_limit is small, so that a chat of all users is a large one. The gateway's LISTEN connections have a name, by
// which the nemesis finds them.

import { chmodSync, existsSync, readdirSync, writeFileSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { unique, until, World } from '../e2e/harness.js';

export const LISTENER = 'chat-listener';

const fakeClock = readdirSync('/usr/lib').map(folder => join('/usr/lib', folder, 'faketime/libfaketime.so.1')).find(existsSync);

export class Lab extends World
{
	// tinyRing: the ring that committed events go through overflows easily
	static async start({ tinyRing })
	{
		const options = ['chat.user_fanout_limit = 4', ...tinyRing ? ["chat.ring_size = '64kB'"] : []];
		const name = unique('e2e');
		setWall(wallOf(name), 0);
		return super.start({
			env: { CHAT_CLUSTER: name, CHAT_OPTIONS: options.join('\n'), CHAT_SERVER_ENV: fakeClock ? fakeClockEnv(name) : '' },
			knobs: world => ({
				workers: 2,
				cursor_interval: '1s',
				maintenance_interval: '0', // messages of deleted chats stay in the history that is compared with
				listen_database: `host=${world.sockets} port=5432 dbname=chat user=gateway application_name=${LISTENER}`
			})
		});
	}

	get hasFakeClock() { return fakeClock !== undefined; }

	// Seconds from the real time, for the server alone.
	setClock(seconds)
	{
		setWall(wallOf(this.env.CHAT_CLUSTER), seconds);
	}

	// Process ids by a condition on pg_stat_activity.
	async backends(condition)
	{
		return (await this.sql(`SELECT pid FROM pg_stat_activity WHERE ${condition}`)).split('\n').filter(Boolean).map(Number);
	}

	async home() { return (await this.cluster('path')).trim(); }

	async postmaster()
	{
		return Number((await readFile(join(await this.home(), 'data/postmaster.pid'), 'utf8')).split('\n')[0]);
	}

	// Rows of a query as objects.
	async rows(query)
	{
		return JSON.parse(await this.sql(`SELECT coalesce(json_agg(q), '[]') FROM (${query}) q`));
	}

	async serves()
	{
		await until(() => this.sql('SELECT 1').catch(() => null), 'the database answers', 60000);
	}

	async stop()
	{
		await super.stop();
		await rm(wallOf(this.env.CHAT_CLUSTER), { force: true });
	}
}

const fakeClockEnv = cluster =>
	`LD_PRELOAD=${fakeClock} FAKETIME_TIMESTAMP_FILE=${wallOf(cluster)} FAKETIME_CACHE_DURATION=1 FAKETIME_DONT_FAKE_MONOTONIC=1`;
const wallOf = cluster => `/tmp/${cluster}.wall`;

function setWall(path, seconds)
{
	writeFileSync(path, `${seconds < 0 ? '' : '+'}${seconds}\n`);
	chmodSync(path, 0o644);
}
