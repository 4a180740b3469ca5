// SPDX-License-Identifier: PostgreSQL
// The names of channels are what keeps others from listening: they stand in no statement that a monitoring role can see, and
// in no log, whatever the server is told to log. Handles may.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { until, World } from './harness.js';

const run = promisify(execFile);

describe('names of channels', () => {
	let world;
	let names; // all that there were
	before(async () => {
		world = await World.start({
			preload: 'chat,pg_stat_statements,auto_explain',
			env: {
				CHAT_OPTIONS: ['log_statement = all', 'log_min_duration_statement = 0', 'log_parameter_max_length = -1',
					'auto_explain.log_min_duration = 0', 'auto_explain.log_nested_statements = on',
					'pg_stat_statements.track = all', 'pg_stat_statements.track_utility = on'].join('\n')
			}
		});
		await world.sql('CREATE EXTENSION pg_stat_statements; CREATE ROLE watcher LOGIN IN ROLE pg_monitor');
		names = new Set();
	});
	after(() => world.stop());

	// As a role that monitors; without what this test asks itself.
	const monitor = text => run('psql', ['-XAtq', '-h', world.sockets, '-p', '5432', '-U', 'watcher', '-d', 'chat', '-c', text], { maxBuffer: 1 << 28 }).then(({ stdout }) => stdout);

	const learn = async () => {
		for (const name of (await world.sql('SELECT chat.user_channel(id) FROM chat.users UNION ALL SELECT chat.user_channel(0) UNION ALL SELECT chat.list_chat_channels()')).split('\n'))
			names.add(name);
	};

	const listening = () => monitor("SELECT query FROM pg_stat_activity WHERE usename = 'gateway'");

	test('are in no statement, plan or log while a gateway listens, and ceases to, and an app does', async () => {
		const users = await world.crowd(3);
		const sockets = await Promise.all(users.map(user => world.connect(user)));
		const { id: chat_id } = await sockets[0].call('create_group', { title: 'all', member_ids: users.slice(1).map(({ id }) => id) });
		await sockets[0].call('watch_presence', { user_ids: [users[1].id] });
		await learn();
		let seen = await listening();
		await world.sql('SELECT chat.rotate_channel_key()');
		const { id } = await sockets[0].call('send_message', { chat_id, body: 'heard' });
		await Promise.all(sockets.map(socket => socket.event(event => event.id === id, 'a message')));
		await learn();
		seen += await listening();
		await sockets[2].close();
		await until(async () => /unlisten/.test(seen += await listening()), 'UNLISTEN');
		await world.sql(`SET ROLE chat_app; SELECT length(chat.subscribe_user(${users[1].id})), length(chat.subscribe_chat(${chat_id}));
			SELECT chat.unsubscribe_user(${users[1].id}), chat.unsubscribe_chat(${chat_id})`);
		seen += await monitor('SELECT query FROM pg_stat_statements');
		const log = await readFile(join((await world.cluster('path')).trim(), 'log'), 'utf8');
		assert.ok(names.size > 500 && [...names].every(name => name.length === 39));
		for (const [where, text] of [['pg_stat_activity and pg_stat_statements', seen], ['the log', log]])
		{
			const digits = (text.match(/[0-9a-f]{16,}/g) ?? []).join('\n');
			assert.deepEqual([...names].filter(name => digits.includes(name.slice(23))), [], `what is secret of them, ${where}`);
		}
		assert.match(seen, /chat\.listen/);
		assert.ok([...names].some(name => log.includes(name.slice(0, 23))), 'parameters were logged');
		assert.match(log, /Query Text: .*pg_catalog|Query Text: SELECT/, 'and nested statements');
		await Promise.all(sockets.slice(0, 2).map(socket => socket.close()));
	});
});
