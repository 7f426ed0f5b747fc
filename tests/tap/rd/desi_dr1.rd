<resource schema="desi_dr1" resdir="desi_dr1">
  <meta name="creationDate">2026-01-01T00:00:00Z</meta>
  <meta name="title">A loopback table in the shape of DESI DR1's</meta>
  <meta name="description">Real DESI spectra: redshifts and positions. Served only for
    tests.</meta>
  <meta name="subject">redshifted</meta>
  <meta name="creator">DESI Collaboration</meta>
  <meta name="contentLevel">Research</meta>
  <meta name="type">Catalog</meta>
  <meta name="coverage.waveband">Optical</meta>

  <table id="zpix" onDisk="True" adql="True" primary="targetid"
      mixin="//scs#q3cindex">
    <meta name="description">One row per spectrum.</meta>
    <column name="targetid" type="bigint" ucd="meta.id;meta.main" required="True"
      description="Identifier of the target"/>
    <column name="survey" type="text" ucd="meta.id;obs" description="Survey"/>
    <column name="program" type="text" ucd="meta.id;obs" description="Programme"/>
    <column name="mean_fiber_ra" type="double precision" unit="deg" ucd="pos.eq.ra;meta.main"
      description="Right ascension of the fibre, ICRS"/>
    <column name="mean_fiber_dec" type="double precision" unit="deg" ucd="pos.eq.dec;meta.main"
      description="Declination of the fibre, ICRS"/>
    <column name="z" type="double precision" ucd="src.redshift" description="Redshift"/>
    <column name="zerr" type="double precision" ucd="stat.error;src.redshift"
      description="1-sigma error of the redshift"/>
    <column name="zwarn" type="integer" ucd="meta.code.qual" required="True"
      description="Bits of what is wrong with the redshift; 0 is good"/>
    <column name="spectype" type="text" ucd="src.class" description="GALAXY, QSO or STAR"/>
  </table>

  <data id="import">
    <make table="zpix">
      <script type="preIndex" lang="python" name="fill the table" notify="False">
        import make_spectra
        make_spectra.fill(table)
      </script>
    </make>
  </data>
</resource>
