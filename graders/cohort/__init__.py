"""The people of a course and its rules about time: roster, due dates, late days, attempts; and final results.

What a submission earned comes from evidence. What a course then makes of it, a late penalty, a person's
override, an excuse, is worked out here, from plain values, and told in lines of its own.
"""
