%% SPDX-License-Identifier: Apache-2.0
%% Why a file could not be looked at, in words that say what to do.
-module(merlon_audit_fault).

-export([words/1]).
-export_type([fault/0]).

-type fault() :: {beam, merlon_audit_beam:reason()} | {files, merlon_audit_files:reason()} |
                 {worker, timeout | killed | crashed} | {syntax, non_neg_integer(), iodata()} |
                 {forms, pos_integer(), pos_integer()} | no_parser | atoms.

-spec words(fault()) -> iodata().
words({beam, Reason}) -> merlon_audit_beam:format_error(Reason);
words({files, Reason}) -> merlon_audit_files:format_error(Reason);
words({worker, timeout}) -> "it takes too long: leave it out with --exclude";
words({worker, killed}) -> "it takes too much memory: leave it out with --exclude";
words({worker, crashed}) -> "it is not what it seems to be, or there is a fault in the audit";
words({syntax, Line, Words}) -> ["line ", integer_to_list(Line), ": ", Words];
words({forms, Count, Line}) ->
    [integer_to_list(Count), " part(s) of it, the first at line ", integer_to_list(Line),
     ", can't be understood without compiling: mend it, or compile it with +debug_info"];
words(no_parser) -> "sources of Elixir need `mix merlon.audit`, or their BEAM files in the same tree (mix compile)";
words(atoms) -> "it has more new words than the audit may make atoms of: leave it out with --exclude".
