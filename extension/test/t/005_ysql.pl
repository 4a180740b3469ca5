# SPDX-License-Identifier: PostgreSQL
# One install script for two engines: it uses nothing that YugabyteDB's YSQL (PostgreSQL 15 based) rejects. What only
# PostgreSQL has stands in DO blocks that ask for the engine first ("-YB-" in version()); those are not looked into.
# Each rule is shown to refuse an example of what it is for, so that a rule that matches nothing is noticed.

use strict;
use warnings;

use Test::More;

# what => [pattern, example]; over the script in lower case, without comments and COMMENTs, white space folded
my %refused = (
	'transition tables' => [qr/referencing (old|new) table/, 'CREATE TRIGGER t AFTER INSERT ON x REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION f();'],
	'constraint triggers' => [qr/create constraint trigger/, 'CREATE CONSTRAINT TRIGGER t AFTER INSERT ON x FOR EACH ROW EXECUTE FUNCTION f();'],
	'gist, spgist and brin' => [qr/using (gist|spgist|brin)\b/, 'CREATE INDEX ON x USING gist (a);'],
	'gin over several columns' => [qr/using gin \((?:[^(),]|\([^()]*\))*,/, 'CREATE INDEX ON x USING gin (a gin_trgm_ops, lower(b) gin_trgm_ops);'],
	'index options' => [qr/create (unique )?index[^;]* with \(/, 'CREATE INDEX ON x (a) WITH (fillfactor = 50);'],
	'table options' => [qr/(create table[^;]*\) with \()|(alter table [^;]* set \()/, 'ALTER TABLE x SET (fillfactor = 50);'],
	'exclusion constraints' => [qr/exclude using/, 'CREATE TABLE x (a int, EXCLUDE USING btree (a WITH =));'],
	'deferrable constraints' => [qr/\bdeferrable\b/, 'CREATE TABLE x (a int, UNIQUE (a) DEFERRABLE);'],
	'inheritance' => [qr/\binherits ?\(/, 'CREATE TABLE x () INHERITS (y);'],
	'merge' => [qr/\bmerge into\b/, 'MERGE INTO x USING y ON true WHEN MATCHED THEN DELETE;'],
	'prepared transactions' => [qr/prepare transaction/, "PREPARE TRANSACTION 'x';"],
	'system columns' => [qr/[ .(](xmin|xmax|cmin|cmax|ctid)\b/, 'SELECT x.xmin FROM x;'],
	'transaction ids' => [qr/(txid_|pg_current_xact_id|pg_snapshot|pg_current_snapshot)/, 'SELECT txid_current();'],
	'wal positions' => [qr/(pg_current_wal|pg_logical_emit)/, 'SELECT pg_current_wal_lsn();'],
	'large objects' => [qr/\b(lo_[a-z]+|loread|lowrite) ?\(/, 'SELECT lo_create(0);'],
	'load' => [qr/(^|;) ?load /, "LOAD 'x';"],
	'advisory locks' => [qr/pg_(try_)?advisory/, 'SELECT pg_advisory_xact_lock(1);'],
	'strong table locks' => [qr/lock table|lock [a-z_.]+ in /, 'LOCK TABLE x;'],
	'altered composite types' => [qr/alter type [^;]* (add|alter|drop) attribute/, 'ALTER TYPE x ADD ATTRIBUTE a int;'],
	'check options of views' => [qr/with (local |cascaded )?check option/, 'CREATE VIEW v AS SELECT 1 WITH CHECK OPTION;'],
	'column storage options' => [qr/alter column [a-z_]+ set (\(|compression)/, 'ALTER TABLE x ALTER COLUMN a SET COMPRESSION lz4;'],
	'temporary tables' => [qr/create temp/, 'CREATE TEMP TABLE x (a int);'],
	'nondeterministic collations' => [qr/deterministic ?= ?false/, "CREATE COLLATION c (provider = icu, locale = 'und', deterministic = false);"],
	'B-tree indexes on json, arrays, inet and the like' => [undef, 'CREATE TABLE x (a jsonb); CREATE INDEX ON x (a);'],
	'keys of json, arrays, inet and the like' => [undef, 'CREATE TABLE x (a bigint[], PRIMARY KEY (a));'],
	'what came after PostgreSQL 15' => [qr/(any_value ?\(|json_table ?\(|is json\b|json_arrayagg|uuidv7|merge_action)/, 'SELECT any_value(a) FROM x;'],
	'savepoints where messages are sent' => [qr/create function chat\.(send_message|add_message|next_event|mark_read)\b(?:(?!\$\$;).)*\bexception when\b/s, 'CREATE FUNCTION chat.send_message() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXCEPTION WHEN OTHERS THEN END $$;'],
);

my ($version) = map { /^default_version = '(.*)'/ ? $1 : () } lines(extension_file('chat.control'));
my $script = simplified(join('', lines(extension_file("chat--$version.sql"))));

cmp_ok(length $script, '>', 10000, 'the install script is there');
for my $what (sort keys %refused)
{
	my ($pattern, $example) = @{$refused{$what}};

	is(found($pattern, $what, $script), '', "no $what");
	isnt(found($pattern, $what, simplified($example)), '', "and they would be noticed: $what");
}
done_testing();

sub extension_file
{
	my ($name) = @_;
	my $directory = `@{[$ENV{PG_CONFIG} // 'pg_config']} --sharedir`;

	chomp $directory;
	return "$directory/extension/$name";
}

sub lines
{
	my ($file) = @_;

	open(my $handle, '<', $file) or die "$file: $!";
	return <$handle>;
}

sub simplified
{
	my ($sql) = @_;

	$sql =~ s/^COMMENT ON .*;$//mg;
	$sql =~ s/--.*$//mg;
	$sql =~ s/^DO (\$\w*\$)(?:(?!\1).)*-YB-(?:(?!\1).)*\1;//msg;
	# These two ask for the engine when they are called.
	$sql =~ s/^CREATE FUNCTION chat\.(?:import|export)_large_object\b(?:(?!^\$\$;).)*//msg;
	$sql =~ s/\s+/ /g;
	return lc $sql;
}

# The offending text, or nothing.
sub found
{
	my ($pattern, $what, $sql) = @_;

	return $sql =~ /(.{0,40}$pattern.{0,40})/ ? $1 : '' if defined $pattern;

	# Types of the columns that keys and indexes name
	my %type;
	while ($sql =~ /create table ([a-z_.]+) \((.*?)\);/g)
	{
		my ($table, $columns) = ($1, $2);
		$type{$1}{$table} = $2 while $columns =~ /(?:^ ?|, )([a-z_]+) ((?:jsonb?|inet|cidr|interval|tsvector|bigint\[\]|text\[\]|citext)(?:\[\])?)\b?/g;
		next if $what !~ /^keys/;
		return "$table: $1" if $columns =~ /(?:^ ?|, )([a-z_]+ (?:jsonb?|inet|interval|tsvector|[a-z]+\[\])[^,]*(?:primary key|unique))/;
		while ($columns =~ /(?:primary key|unique) \(([^)]*)\)/g)
		{
			for my $column (split /, ?/, $1)
			{
				$column =~ s/^ | .*$//g;
				return "$table: $column" if $type{$column}{$table};
			}
		}
	}
	return '' if $what =~ /^keys/;
	while ($sql =~ /create (?:unique )?index (?:[a-z_]+ )?on ([a-z_.]+) \(([^)]*)\)/g)
	{
		my ($table, $columns) = ($1, $2);
		for my $column (split /, ?/, $columns)
		{
			$column =~ s/^ | .*$//g;
			return "$table: $column" if $type{$column}{$table};
		}
	}
	return '';
}
