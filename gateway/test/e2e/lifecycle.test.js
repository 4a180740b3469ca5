// SPDX-License-Identifier: PostgreSQL
// The life of the processes: draining, reading the configuration again, one program taking another's place, and what
// systemd hears of it.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, copyFile, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { binary, freePort, Gateway, refused, sleep, Socket, until, within, World } from './harness.js';

const functions = `CREATE FUNCTION chat.e2e_slow(actor_id bigint, seconds float8) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(seconds); RETURN 'done'; END $$;
	GRANT EXECUTE ON FUNCTION chat.e2e_slow TO chat_user`;
const said = (world, words) => until(() => words.test(world.gateway.log), String(words));

describe('draining', () => {
	let world;
	before(async () => {
		world = await World.start({ knobs: { workers: 2, drain_seconds: '2s' } });
		await world.sql(functions);
	});
	after(() => world.cluster('destroy'));

	test('closes one socket after the other, answers what is under way, and exits 0', async () => {
		const crowd = await world.crowd(20);
		const sockets = await Promise.all(crowd.map(user => world.connect(user)));
		// Each worker learns of it by itself.
		await Promise.all(sockets.map(socket => until(() => socket.call('e2e_slow', { seconds: 0 }).catch(() => null), 'the function')));
		const answers = sockets.map(socket => socket.call('e2e_slow', { seconds: 0.2 }));
		const started = Date.now();
		world.gateway.process.kill('SIGTERM');
		const endings = await Promise.all(sockets.map(async socket => ({ ...await socket.ending(), at: Date.now() - started })));
		assert.deepEqual(new Set(await Promise.all(answers)), new Set(['done']));
		assert.ok(endings.every(({ code }) => code === 1001));
		const pauses = endings.map(({ reason }) => JSON.parse(reason).retry_after_ms);
		assert.ok(pauses.every(pause => pause >= 0 && pause < 2000) && new Set(pauses).size > 5, pauses.join());
		const times = endings.map(({ at }) => at).sort((a, b) => a - b);
		assert.ok(times.at(-1) - times[0] > 700, `${times}: spread`);
		assert.deepEqual(await within(world.gateway.exited, 'exit'), { code: 0, signal: null });
		assert.equal(world.gateway.log.match(/level=info .*event=worker_left message="worker=\d pid=\d+ exit=0"/g)?.length, 2);
		assert.doesNotMatch(world.gateway.log, /level=(warn|error)|worker_died/, 'all of this is as it should be');
	});

	test('a worker that dies before is started again, one that is killed at the end is told of', async () => {
		world.knobs = { workers: 2, drain_seconds: '10min' };
		await world.startGateway();
		const [victim] = await world.gateway.workers();
		process.kill(victim, 'SIGKILL');
		await said(world, new RegExp(`level=warn .*event=worker_died message="worker=\\d pid=${victim} signal=9 restart_in_ms=\\d+"`));
		await until(async () => (await world.gateway.workers()).length === 2, 'another one');
		await world.gateway.ready(world.port);
		const [alice] = await world.crowd(1);
		const sockets = await Promise.all(Array.from({ length: 20 }, () => world.connect(alice)));
		world.gateway.process.kill('SIGTERM');
		await said(world, /event=draining/);
		const [last] = await world.gateway.workers();
		process.kill(last, 'SIGKILL');
		await said(world, new RegExp(`level=warn .*event=worker_left message="worker=\\d pid=${last} signal=9"`));
		world.gateway.process.kill('SIGTERM');
		await within(world.gateway.exited, 'exit', 5000);
		await Promise.all(sockets.map(socket => socket.ending()));
	});

	test('a second SIGTERM ends it at once', async () => {
		world.knobs = { workers: 1, drain_seconds: '10min' };
		await world.startGateway();
		const [alice] = await world.crowd(1);
		const socket = await world.connect(alice);
		world.gateway.process.kill('SIGTERM');
		await said(world, /event=draining/);
		world.gateway.process.kill('SIGTERM');
		await within(world.gateway.exited, 'exit', 5000);
		assert.equal(world.gateway.status.code, 0);
		await socket.ending();
	});
});

describe('a running gateway', () => {
	let world;
	let folder;
	let file;
	const configure = text => writeFile(file, text, { mode: 0o644 });
	before(async () => {
		folder = await mkdtemp('/tmp/chat-e2e-');
		await chmod(folder, 0o755);
		file = join(folder, 'gateway.conf');
		await configure('watch_limit = 2\npool_size = 2\nlog_level = info\n');
		world = await World.start({ knobs: { workers: 2, config: file } });
	});
	after(async () => {
		await world.stop();
		await rm(folder, { recursive: true });
	});

	const limit = async () => {
		const [alice] = await world.crowd(1);
		const socket = await until(() => world.connect(alice).catch(() => null), 'a worker that serves');
		const { data } = await refused(socket.call('watch_presence', { user_ids: ['1', '2', '3', '4', '5'] }));
		await socket.close();
		return Number(/at most (\d+)/.exec(data.hint)[1]);
	};
	const connections = () => world.sql(`SELECT count(*) FROM pg_stat_activity WHERE usename = 'gateway'`).then(Number);

	test('SIGHUP: what can change changes, and it is said what cannot', async () => {
		assert.equal(await limit(), 2);
		await configure('watch_limit = 3\npool_size = 3\n');
		world.gateway.process.kill('SIGHUP');
		await said(world, /config_reloaded message="changed: watch_limit "/);
		await said(world, /config_waits message=".*restart: pool_size "/);
		await until(async () => await limit() === 3, 'the new limit');
	});

	test('SIGHUP with a bad file: all stays, in new workers too', async () => {
		for (const [text, why] of [['watch_limit = many\n', /line 1: watch_limit = /], ['watch_limit = 4\nno_such = 1\n', /there is no setting/]])
		{
			await configure(text);
			world.gateway.process.kill('SIGHUP');
			await said(world, why);
		}
		await until(() => world.gateway.log.match(/event=config_kept/g)?.length === 2, 'twice kept');
		const before = await world.gateway.workers();
		process.kill(before[0], 'SIGKILL');
		await until(async () => (await world.gateway.workers()).filter(pid => !before.includes(pid)).length === 1, 'another worker');
		for (let i = 0; i < 6; i++)
			assert.equal(await limit(), 3);
	});

	test('SIGUSR2 with a bad file: nothing is replaced', async () => {
		const before = await world.gateway.workers();
		world.gateway.process.kill('SIGUSR2');
		await said(world, /not_replaced/);
		assert.deepEqual(await world.gateway.workers(), before);
	});

	test('SIGUSR2: other workers, other settings, and no client that connects meanwhile sees anything of it', async () => {
		await configure('watch_limit = 4\npool_size = 5\nworkers = 3\n');
		const [alice] = await world.crowd(1);
		const old = await world.connect(alice);
		const before = await world.gateway.workers();
		const failed = [];
		let opened = 0;
		let going = true;
		const load = Array.from({ length: 4 }, async () => {
			while (going)
			{
				const socket = new Socket(world.url);
				await within(socket.opened, 'handshake').then(() => opened++, error => failed.push(error.message));
				socket.ws.close();
				await sleep(5);
			}
		});
		world.gateway.process.kill('SIGUSR2');
		await until(() => world.gateway.log.match(/event=serving/g)?.length === 2, 'all serve again');
		await until(async () => !(await world.gateway.workers()).some(pid => before.includes(pid)), 'the old ones have left');
		const { code, reason } = await old.ending();
		assert.deepEqual([code, typeof JSON.parse(reason).retry_after_ms], [1001, 'number']);
		going = false;
		await Promise.all(load);
		assert.ok(opened > 20, `${opened} opened`);
		assert.deepEqual(failed, [], `besides ${opened}`);
		assert.equal(await limit(), 4);
		assert.equal(await until(async () => await connections() >= 2 * (5 + 2 + 1), 'a larger pool'), true);
	});

	test('a program that cannot run does not take our place', async () => {
		const copy = join(folder, 'chat-gateway');
		await copyFile(binary, copy);
		const port = await freePort();
		const gateway = new Gateway([], {});
		gateway.process.kill('SIGKILL');
		const other = Object.assign(Object.create(Gateway.prototype), { log: '' });
		other.process = spawn(copy, [`--listen=127.0.0.1:${port}`, `--database=host=${world.sockets} port=5432 dbname=chat user=postgres`, '--drain-seconds=0s']);
		for (const stream of [other.process.stdout, other.process.stderr])
			stream.on('data', chunk => other.log += chunk);
		other.exited = once(other.process, 'close').then(([code, signal]) => other.status = { code, signal });
		await other.ready(port);
		await writeFile(join(folder, 'next'), '#!/bin/false\n', { mode: 0o755 });
		await rename(join(folder, 'next'), copy);
		other.process.kill('SIGUSR2');
		await until(() => /not_replaced/.test(other.log), 'refusal');
		await copyFile(binary, join(folder, 'next'));
		await chmod(join(folder, 'next'), 0o755);
		await rename(join(folder, 'next'), copy);
		const before = await other.workers();
		other.process.kill('SIGUSR2');
		await until(async () => !(await other.workers()).some(pid => before.includes(pid)), 'replaced');
		assert.equal((await fetch(`http://127.0.0.1:${port}/healthz`)).status, 200);
		assert.equal((await other.stop()).code, 0);
	});
});

describe('systemd', () => {
	let world;
	let folder;
	before(async () => {
		world = await World.start();
		folder = await mkdtemp('/tmp/chat-e2e-');
		await chmod(folder, 0o755);
	});
	after(async () => {
		await world.stop();
		await rm(folder, { recursive: true });
	});

	test('hears READY, RELOADING, WATCHDOG, STOPPING', async () => {
		const path = join(folder, 'notify');
		const ear = spawn('perl', ['-MIO::Socket::UNIX', '-e', `$| = 1; my $s = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => '${path}') or die; chmod 0777, '${path}';
			print "open\\n"; while (defined $s->recv(my $words, 1000)) { $words =~ tr/\\n/ /; print "$words\\n" }`]);
		let heard = '';
		ear.stdout.on('data', chunk => heard += chunk);
		const hears = words => until(() => words.test(heard), `${words}`);
		await hears(/open/);
		const port = await freePort();
		const gateway = new Gateway([`--listen=127.0.0.1:${port}`, `--database=host=${world.sockets} port=5432 dbname=chat user=gateway`],
			{ ...world.env, NOTIFY_SOCKET: path, WATCHDOG_USEC: '400000' });
		await hears(/READY=1/);
		assert.equal((await fetch(`http://127.0.0.1:${port}/readyz`)).status, 200);
		await hears(/WATCHDOG=1.*WATCHDOG=1/s);
		gateway.process.kill('SIGHUP');
		await hears(/RELOADING=1 MONOTONIC_USEC=\d+\n(WATCHDOG=1\n)*READY=1/);
		gateway.process.kill('SIGUSR2');
		await hears(/RELOADING=1.*RELOADING=1.*READY=1/s);
		await gateway.stop();
		await hears(/STOPPING=1/);
		ear.kill();
		assert.equal(gateway.status.code, 0);
	});
});
